"""PACS Bridge: the service between HL7 v2 systems and imaging modalities."""
