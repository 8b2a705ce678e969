"""Playing scenarios: one party against a real or emulated peer, and the judgement of what comes back."""
