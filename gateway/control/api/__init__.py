"""The API of the central host, for programs and the command line: questions to the policy, and hints to the engine."""
