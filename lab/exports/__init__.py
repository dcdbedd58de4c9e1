"""Sessions and tables in the formats of other tools: NWB, DataJoint, SQL."""
