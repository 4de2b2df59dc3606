"""What it says of therapists."""
