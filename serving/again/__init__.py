"""An answer looked at again: derived anew, its exclusions, two therapists compared, released, replayed."""
