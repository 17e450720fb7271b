"""What went wrong in other systems, each run by name; and every guarantee of ours with its tests."""
