"""Answers, with reasons: the HTTP API over one bundle and one directory."""
