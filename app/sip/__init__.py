"""Session Initiation Protocol, RFC 3261: messages, transactions, dialogs, registration, transports."""
