"""How a run ends: shortlist, verdict, ties, the winner's curse, and which model is chosen."""
