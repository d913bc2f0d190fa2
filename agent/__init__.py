"""What researches: ideas, proposals, the night's loop, the journal, verdicts, reports and the command line."""
