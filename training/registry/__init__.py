"""MLflow: runs, pictures, cards and registered bundles. The only room that imports it."""
