"""Two bundles side by side: data, features, importance, tests, and for whom another therapist would stand first."""
