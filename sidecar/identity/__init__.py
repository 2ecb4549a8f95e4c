"""Who somebody is, asked of Moodle or of a provider of OpenID Connect."""
