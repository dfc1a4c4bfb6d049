"""DICOM: the modality worklist as SCP, C-ECHO as SCU.

``worklist`` and ``attributes`` are the data, ``server`` serves them, ``options`` says how,
``echo`` asks a peer whether it is there; ``matching.fold`` is for who indexes names, ``charsets``
for who names character sets. Nothing is imported here, so that the plain data stay cheap to import.
"""
