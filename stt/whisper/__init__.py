"""The client's side of whisper servers: calls, which server gets one, which servers are well."""
