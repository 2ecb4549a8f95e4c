-- Least privilege for PostgreSQL: three roles of which none can change a table of Moodle's.
--
--   mih_migrate   makes and changes the sidecar's own tables; used for `mih migrate` only
--   mih_app       the sidecar: reads Moodle's log and the columns it looks up, works with its own tables
--   mih_report    people and dashboards who query the sidecar's tables and views
--
-- Not needed to begin with: Moodle's own role can do all of this, and more. With these roles set
-- `store.migrate: check` in the sidecar's configuration, and run `mih migrate` as mih_migrate before a new
-- version starts. `mih check`, run as mih_app, prints any GRANT that is still missing.
--
-- Run it as a superuser, connected to the database that it is about. Where the sidecar's tables stand in
-- another database than Moodle's, run PART 1 and PART 3 in the sidecar's, PART 2 in Moodle's.
--
-- Replace before use:  @PREFIX@   Moodle's $CFG->prefix, often mdl_     @SCHEMA@  the schema, often public
--                      @STORE_DB@, @MOODLE_DB@  the databases, which may be the same
--                      @MIGRATE_PASSWORD@, @APP_PASSWORD@, @REPORT_PASSWORD@

-- PART 1: once per server, before `mih migrate`

CREATE ROLE mih_migrate LOGIN PASSWORD '@MIGRATE_PASSWORD@';
CREATE ROLE mih_app LOGIN PASSWORD '@APP_PASSWORD@';
CREATE ROLE mih_report LOGIN PASSWORD '@REPORT_PASSWORD@';

-- PART 2: in Moodle's database

GRANT CONNECT ON DATABASE "@MOODLE_DB@" TO mih_app;
GRANT USAGE ON SCHEMA "@SCHEMA@" TO mih_app;

-- Of people and courses only the columns that a template can name; leave away the tables that no rule of
-- yours looks into.
GRANT SELECT ON "@SCHEMA@"."@PREFIX@logstore_standard_log" TO mih_app;
GRANT SELECT (
  id, username, idnumber, firstname, lastname, email, institution, department, city, country, lang,
  timezone, auth, confirmed, suspended, deleted, timecreated
) ON "@SCHEMA@"."@PREFIX@user" TO mih_app;
GRANT SELECT (
  id, category, shortname, fullname, idnumber, visible, format, lang, startdate, enddate
) ON "@SCHEMA@"."@PREFIX@course" TO mih_app;
GRANT SELECT (
  id, name, idnumber, parent, path, visible
) ON "@SCHEMA@"."@PREFIX@course_categories" TO mih_app;
GRANT SELECT (
  id, contextlevel, instanceid, path, depth
) ON "@SCHEMA@"."@PREFIX@context" TO mih_app;
-- When Moodle's cron last ran.
GRANT SELECT (lastruntime) ON "@SCHEMA@"."@PREFIX@task_scheduled" TO mih_app;

-- Optional: with it the sidecar sees which transactions are open, and can prove at once that a missing id of
-- the log will never come. Without it, it waits for tail.gap_patience. It shows the statements of all roles.
-- GRANT pg_read_all_stats TO mih_app;
--
-- Not given: SELECT on @PREFIX@config and @PREFIX@config_plugins. `mih check` would like to read Moodle's release and
-- log settings there, and a running sidecar would notice a log store that was switched off, a changed format and
-- rows that are soon cleaned up; but passwords of Moodle's stand in the same tables.

-- PART 3: in the sidecar's database, before `mih migrate`

-- Until PostgreSQL 14 everybody may make tables in the schema public; this line takes that away from all who
-- do not own the schema, so be sure that Moodle's role has it by name.
-- REVOKE CREATE ON SCHEMA "@SCHEMA@" FROM PUBLIC;

GRANT CONNECT ON DATABASE "@STORE_DB@" TO mih_migrate, mih_app, mih_report;
GRANT USAGE, CREATE ON SCHEMA "@SCHEMA@" TO mih_migrate;
GRANT USAGE ON SCHEMA "@SCHEMA@" TO mih_app, mih_report;

-- What mih_migrate will make, today and in later versions, is theirs as well.
ALTER DEFAULT PRIVILEGES FOR ROLE mih_migrate IN SCHEMA "@SCHEMA@"
  GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO mih_app;
ALTER DEFAULT PRIVILEGES FOR ROLE mih_migrate IN SCHEMA "@SCHEMA@"
  GRANT USAGE ON SEQUENCES TO mih_app;
ALTER DEFAULT PRIVILEGES FOR ROLE mih_migrate IN SCHEMA "@SCHEMA@"
  GRANT SELECT ON TABLES TO mih_report;

-- PART 4: in the sidecar's database, after `mih migrate`

-- Sealed secrets and what signs people in are nothing to report on; the record of who changed what can be
-- added to and pruned, not rewritten.
REVOKE SELECT ON "@SCHEMA@"."mih_secrets", "@SCHEMA@"."mih_sessions", "@SCHEMA@"."mih_users" FROM mih_report;
REVOKE UPDATE ON "@SCHEMA@"."mih_audit" FROM mih_app;
