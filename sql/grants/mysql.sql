-- Least privilege for MySQL and MariaDB: three accounts of which none can change a table of Moodle's.
--
--   mih_migrate   makes and changes the sidecar's own tables; used for `mih migrate` only
--   mih_app       the sidecar: reads Moodle's log and the columns it looks up, works with its own tables
--   mih_report    people and dashboards who query the sidecar's tables and views
--
-- Not needed to begin with: Moodle's own account can do all of this, and more. With these accounts set
-- `store.migrate: check` in the sidecar's configuration, and run `mih migrate` as mih_migrate before a new
-- version starts. `mih check`, run as mih_app, prints any GRANT that is still missing.
--
-- Replace before use:  @MOODLE_DB@  Moodle's database        @PREFIX@  Moodle's $CFG->prefix, often mdl_
--                      @STORE_DB@   the sidecar's database, which may be the same
--                      @HOST@       where the sidecar runs, such as 10.0.0.7 or %
--                      @MIGRATE_PASSWORD@, @APP_PASSWORD@, @REPORT_PASSWORD@

-- PART 1: before `mih migrate`

CREATE USER 'mih_migrate'@'@HOST@' IDENTIFIED BY '@MIGRATE_PASSWORD@';
CREATE USER 'mih_app'@'@HOST@' IDENTIFIED BY '@APP_PASSWORD@';
CREATE USER 'mih_report'@'@HOST@' IDENTIFIED BY '@REPORT_PASSWORD@';

-- Table by table, for MySQL has no pattern for tables: a right that includes CREATE may be given on a table
-- that is not there yet, any other may not. A version with new tables brings new lines here.
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX, DROP ON `@STORE_DB@`.`mih_audit` TO 'mih_migrate'@'@HOST@';
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX, DROP ON `@STORE_DB@`.`mih_circuits` TO 'mih_migrate'@'@HOST@';
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX, DROP ON `@STORE_DB@`.`mih_counts` TO 'mih_migrate'@'@HOST@';
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX, DROP ON `@STORE_DB@`.`mih_cursors` TO 'mih_migrate'@'@HOST@';
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX, DROP ON `@STORE_DB@`.`mih_definitions` TO 'mih_migrate'@'@HOST@';
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX, DROP ON `@STORE_DB@`.`mih_dlq` TO 'mih_migrate'@'@HOST@';
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX, DROP ON `@STORE_DB@`.`mih_gaps` TO 'mih_migrate'@'@HOST@';
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX, DROP ON `@STORE_DB@`.`mih_log` TO 'mih_migrate'@'@HOST@';
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX, DROP ON `@STORE_DB@`.`mih_queue` TO 'mih_migrate'@'@HOST@';
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX, DROP ON `@STORE_DB@`.`mih_replays` TO 'mih_migrate'@'@HOST@';
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX, DROP ON `@STORE_DB@`.`mih_replicas` TO 'mih_migrate'@'@HOST@';
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX, DROP ON `@STORE_DB@`.`mih_rule_versions` TO 'mih_migrate'@'@HOST@';
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX, DROP ON `@STORE_DB@`.`mih_rules` TO 'mih_migrate'@'@HOST@';
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX, DROP ON `@STORE_DB@`.`mih_secrets` TO 'mih_migrate'@'@HOST@';
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX, DROP ON `@STORE_DB@`.`mih_services` TO 'mih_migrate'@'@HOST@';
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX, DROP ON `@STORE_DB@`.`mih_sessions` TO 'mih_migrate'@'@HOST@';
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX, DROP ON `@STORE_DB@`.`mih_stats` TO 'mih_migrate'@'@HOST@';
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX, DROP ON `@STORE_DB@`.`mih_users` TO 'mih_migrate'@'@HOST@';
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX, DROP ON `@STORE_DB@`.`mih_version` TO 'mih_migrate'@'@HOST@';
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX, DROP ON `@STORE_DB@`.`mih_watch` TO 'mih_migrate'@'@HOST@';
-- For the views of sql/views, which mih_migrate makes.
GRANT SELECT, CREATE, CREATE VIEW, SHOW VIEW, DROP ON `@STORE_DB@`.`mih_v_dead_letters` TO 'mih_migrate'@'@HOST@';
GRANT SELECT, CREATE, CREATE VIEW, SHOW VIEW, DROP ON `@STORE_DB@`.`mih_v_failures` TO 'mih_migrate'@'@HOST@';
GRANT SELECT, CREATE, CREATE VIEW, SHOW VIEW, DROP ON `@STORE_DB@`.`mih_v_gaps` TO 'mih_migrate'@'@HOST@';
GRANT SELECT, CREATE, CREATE VIEW, SHOW VIEW, DROP ON `@STORE_DB@`.`mih_v_stats` TO 'mih_migrate'@'@HOST@';
GRANT SELECT, CREATE, CREATE VIEW, SHOW VIEW, DROP ON `@STORE_DB@`.`mih_v_waiting` TO 'mih_migrate'@'@HOST@';

-- What the sidecar reads of Moodle. Of people and courses only the columns that a template can name; leave
-- away the tables that no rule of yours looks into.
GRANT SELECT ON `@MOODLE_DB@`.`@PREFIX@logstore_standard_log` TO 'mih_app'@'@HOST@';
GRANT SELECT (
  id, username, idnumber, firstname, lastname, email, institution, department, city, country, lang,
  timezone, auth, confirmed, suspended, deleted, timecreated
) ON `@MOODLE_DB@`.`@PREFIX@user` TO 'mih_app'@'@HOST@';
GRANT SELECT (
  id, category, shortname, fullname, idnumber, visible, format, lang, startdate, enddate
) ON `@MOODLE_DB@`.`@PREFIX@course` TO 'mih_app'@'@HOST@';
GRANT SELECT (
  id, name, idnumber, parent, path, visible
) ON `@MOODLE_DB@`.`@PREFIX@course_categories` TO 'mih_app'@'@HOST@';
GRANT SELECT (
  id, contextlevel, instanceid, path, depth
) ON `@MOODLE_DB@`.`@PREFIX@context` TO 'mih_app'@'@HOST@';
-- When Moodle's cron last ran.
GRANT SELECT (lastruntime) ON `@MOODLE_DB@`.`@PREFIX@task_scheduled` TO 'mih_app'@'@HOST@';

-- Optional: with PROCESS the sidecar sees which transactions are open, and can prove at once that a missing
-- id of the log will never come. Without it, it waits for tail.gap_patience. PROCESS shows the statements of
-- all accounts on this server.
-- GRANT PROCESS ON *.* TO 'mih_app'@'@HOST@';
--
-- Not given: SELECT on @PREFIX@config and @PREFIX@config_plugins. `mih check` would like to read Moodle's release and
-- log settings there, and a running sidecar would notice a log store that was switched off, a changed format and
-- rows that are soon cleaned up; but passwords of Moodle's stand in the same tables.

-- PART 2: after `mih migrate`, when the tables are there (and the views, for mih_report)

GRANT SELECT, INSERT, DELETE ON `@STORE_DB@`.`mih_audit` TO 'mih_app'@'@HOST@';
GRANT SELECT, INSERT, UPDATE, DELETE ON `@STORE_DB@`.`mih_circuits` TO 'mih_app'@'@HOST@';
GRANT SELECT, INSERT, UPDATE, DELETE ON `@STORE_DB@`.`mih_counts` TO 'mih_app'@'@HOST@';
GRANT SELECT, INSERT, UPDATE, DELETE ON `@STORE_DB@`.`mih_cursors` TO 'mih_app'@'@HOST@';
GRANT SELECT, INSERT, UPDATE, DELETE ON `@STORE_DB@`.`mih_definitions` TO 'mih_app'@'@HOST@';
GRANT SELECT, INSERT, UPDATE, DELETE ON `@STORE_DB@`.`mih_dlq` TO 'mih_app'@'@HOST@';
GRANT SELECT, INSERT, UPDATE, DELETE ON `@STORE_DB@`.`mih_gaps` TO 'mih_app'@'@HOST@';
GRANT SELECT, INSERT, UPDATE, DELETE ON `@STORE_DB@`.`mih_log` TO 'mih_app'@'@HOST@';
GRANT SELECT, INSERT, UPDATE, DELETE ON `@STORE_DB@`.`mih_queue` TO 'mih_app'@'@HOST@';
GRANT SELECT, INSERT, UPDATE, DELETE ON `@STORE_DB@`.`mih_replays` TO 'mih_app'@'@HOST@';
GRANT SELECT, INSERT, UPDATE, DELETE ON `@STORE_DB@`.`mih_replicas` TO 'mih_app'@'@HOST@';
GRANT SELECT, INSERT, UPDATE, DELETE ON `@STORE_DB@`.`mih_rule_versions` TO 'mih_app'@'@HOST@';
GRANT SELECT, INSERT, UPDATE, DELETE ON `@STORE_DB@`.`mih_rules` TO 'mih_app'@'@HOST@';
GRANT SELECT, INSERT, UPDATE, DELETE ON `@STORE_DB@`.`mih_secrets` TO 'mih_app'@'@HOST@';
GRANT SELECT, INSERT, UPDATE, DELETE ON `@STORE_DB@`.`mih_services` TO 'mih_app'@'@HOST@';
GRANT SELECT, INSERT, UPDATE, DELETE ON `@STORE_DB@`.`mih_sessions` TO 'mih_app'@'@HOST@';
GRANT SELECT, INSERT, UPDATE, DELETE ON `@STORE_DB@`.`mih_stats` TO 'mih_app'@'@HOST@';
GRANT SELECT, INSERT, UPDATE, DELETE ON `@STORE_DB@`.`mih_users` TO 'mih_app'@'@HOST@';
GRANT SELECT ON `@STORE_DB@`.`mih_version` TO 'mih_app'@'@HOST@';
GRANT SELECT, INSERT, UPDATE, DELETE ON `@STORE_DB@`.`mih_watch` TO 'mih_app'@'@HOST@';

-- Not given to mih_report: sealed secrets, and what signs people in.
GRANT SELECT ON `@STORE_DB@`.`mih_audit` TO 'mih_report'@'@HOST@';
GRANT SELECT ON `@STORE_DB@`.`mih_circuits` TO 'mih_report'@'@HOST@';
GRANT SELECT ON `@STORE_DB@`.`mih_counts` TO 'mih_report'@'@HOST@';
GRANT SELECT ON `@STORE_DB@`.`mih_cursors` TO 'mih_report'@'@HOST@';
GRANT SELECT ON `@STORE_DB@`.`mih_definitions` TO 'mih_report'@'@HOST@';
GRANT SELECT ON `@STORE_DB@`.`mih_dlq` TO 'mih_report'@'@HOST@';
GRANT SELECT ON `@STORE_DB@`.`mih_gaps` TO 'mih_report'@'@HOST@';
GRANT SELECT ON `@STORE_DB@`.`mih_log` TO 'mih_report'@'@HOST@';
GRANT SELECT ON `@STORE_DB@`.`mih_queue` TO 'mih_report'@'@HOST@';
GRANT SELECT ON `@STORE_DB@`.`mih_replays` TO 'mih_report'@'@HOST@';
GRANT SELECT ON `@STORE_DB@`.`mih_replicas` TO 'mih_report'@'@HOST@';
GRANT SELECT ON `@STORE_DB@`.`mih_rule_versions` TO 'mih_report'@'@HOST@';
GRANT SELECT ON `@STORE_DB@`.`mih_rules` TO 'mih_report'@'@HOST@';
GRANT SELECT ON `@STORE_DB@`.`mih_services` TO 'mih_report'@'@HOST@';
GRANT SELECT ON `@STORE_DB@`.`mih_stats` TO 'mih_report'@'@HOST@';
GRANT SELECT ON `@STORE_DB@`.`mih_version` TO 'mih_report'@'@HOST@';
GRANT SELECT ON `@STORE_DB@`.`mih_watch` TO 'mih_report'@'@HOST@';
GRANT SELECT ON `@STORE_DB@`.`mih_v_dead_letters` TO 'mih_report'@'@HOST@';
GRANT SELECT ON `@STORE_DB@`.`mih_v_failures` TO 'mih_report'@'@HOST@';
GRANT SELECT ON `@STORE_DB@`.`mih_v_gaps` TO 'mih_report'@'@HOST@';
GRANT SELECT ON `@STORE_DB@`.`mih_v_stats` TO 'mih_report'@'@HOST@';
GRANT SELECT ON `@STORE_DB@`.`mih_v_waiting` TO 'mih_report'@'@HOST@';
