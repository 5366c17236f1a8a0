"""What a person sees. Qt lives here and nowhere else."""
