"""What is published: its layout for readers, its writing, its copy in PostgreSQL."""
