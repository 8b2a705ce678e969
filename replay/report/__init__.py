"""What became of a replay, for people and programs: text as it goes, JUnit XML, JSON with schemas, one HTML page."""
