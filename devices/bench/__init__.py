"""What makes a shared device's numbers worth believing: leases, conditions, heat, a canary, broken links."""
