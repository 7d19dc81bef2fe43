"""Sessions of people in browsers: what control keeps of a sign-in, renews, tells the doors and ends."""
