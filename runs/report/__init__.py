"""What a person sees of a run: tables, figures, the report, and progress in the terminal."""
