"""Language models for fine-tuning: texts as tokens, packed rows, kept hidden states, LoRA as one flat vector."""
