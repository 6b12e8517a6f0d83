"""Avow: an AI inference platform whose privacy policy is its configuration."""
