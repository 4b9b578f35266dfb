"""Per-example Jacobian features, subspaces and the all-masks solver (needs the torch extra)."""
