"""The bridge's durable state: journal, patients, orders and worklist in one SQLite file."""
