"""What servers have beside chat: embeddings, the old completions, pictures, speech, transcription."""
