"""How results change along what matters."""
