"""Telling people what they are to know: notices by the hour, e-mails and what comes of them."""
