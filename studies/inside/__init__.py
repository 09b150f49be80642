"""Looking into models, for several studies: receptive field, latent deviation, correlation map."""
