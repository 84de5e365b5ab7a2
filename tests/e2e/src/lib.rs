//! What the end-to-end tests share: finding the program, running it as root and as an ordinary user, reading reports.
