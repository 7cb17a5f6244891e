"""What the product does. A service is built from the database, the files and what it needs of the rest."""
