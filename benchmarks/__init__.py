"""Tables of what interplay does, beside the alternatives, measured in the same run."""
