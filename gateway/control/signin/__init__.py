"""Sign-in of people with a browser: Stagedoor as a relying party of OpenID providers (docs/sign-in.md)."""
