"""An audit as people read it: one file to e-mail, and the same parts for the service's pages."""
