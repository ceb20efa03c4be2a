"""Files, JSON and records, read and written with care; nothing here knows what edgemeta is."""
