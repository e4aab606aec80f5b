"""The pages, by the groups of the menu. Each calls the reports' own functions and lays their rows out."""
