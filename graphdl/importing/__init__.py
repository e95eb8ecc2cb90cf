"""What imports from other programs have in common: they write a net as text in the language, and its weights."""
