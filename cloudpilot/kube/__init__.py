"""The only talker to API servers: client, kinds, access, quantities, redaction."""
