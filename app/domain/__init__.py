"""What the service talks about: values, errors and the life of a job. Knows no HTTP, no SQL, no file."""
