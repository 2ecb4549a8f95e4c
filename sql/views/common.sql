-- Views on the sidecar's tables, for people and dashboards: their names and columns stay, the tables may change.
-- All moments are UTC. Runs on MySQL, MariaDB, PostgreSQL and SQLite; run the file of your database as well.

DROP VIEW IF EXISTS mih_v_waiting;

-- What is owed to each service now, and what it waits for.
CREATE VIEW mih_v_waiting AS
SELECT q.service,
       COUNT(CASE WHEN q.state = 'pending' THEN 1 END) AS waiting,
       COUNT(CASE WHEN q.state = 'sending' THEN 1 END) AS sending,
       COUNT(CASE WHEN q.attempts > 0 THEN 1 END) AS tried_before,
       MIN(q.created_at) AS oldest_at,
       MIN(q.due_at) AS next_due_at,
       MAX(c.state) AS circuit,
       MAX(CASE WHEN s.paused THEN 1 ELSE 0 END) AS paused,
       MAX(CASE WHEN s.enabled THEN 1 ELSE 0 END) AS enabled
  FROM mih_queue q
  LEFT JOIN mih_circuits c ON c.service = q.service
  LEFT JOIN mih_services s ON s.name = q.service
 WHERE q.state IN ('pending', 'sending')
 GROUP BY q.service;

DROP VIEW IF EXISTS mih_v_dead_letters;

-- Deliveries that were given up, and what is usually done about each.
CREATE VIEW mih_v_dead_letters AS
SELECT id AS letter,
       delivery_id,
       service,
       rule,
       event,
       log_id,
       reason,
       status,
       error,
       attempts,
       created_at,
       CASE reason
         WHEN 'exhausted' THEN 'when the service is well again, replay it'
         WHEN 'rejected' THEN 'read the response, mend the rule or the service, then replay it'
         WHEN 'render' THEN 'mend the template, then replay it, rendered again'
         WHEN 'too_large' THEN 'raise max_payload or make the payload smaller, then replay it, rendered again'
         WHEN 'invalid' THEN 'mend the rule, then replay it, rendered again, or delete it'
         WHEN 'removed' THEN 'its rule or service was taken away while it waited: delete it, or bring them back and replay it'
         WHEN 'expired' THEN 'it is older than its rule allows: delete it, or replay it if it still matters'
         ELSE 'read the error, then replay or delete it'
       END AS suggested_action
  FROM mih_dlq;

DROP VIEW IF EXISTS mih_v_gaps;

-- Ids that were missing in Moodle's log: still asked for (open), or given up (closed) with the reason.
CREATE VIEW mih_v_gaps AS
SELECT site,
       first_id,
       last_id,
       missing AS missing_ids,
       state,
       seen_at,
       closed_at,
       reason
  FROM mih_gaps;

DROP VIEW IF EXISTS mih_v_stats;

-- How each service fared: rates and latencies of minutes, tens of minutes, hours, quarters of days and days.
CREATE VIEW mih_v_stats AS
SELECT span,
       service,
       begins_at,
       delivered,
       failed,
       dead,
       CASE WHEN delivered + failed > 0 THEN ROUND(100.0 * delivered / (delivered + failed), 1) END
         AS delivered_percent,
       CASE WHEN delivered > 0 THEN ROUND(CAST(latency_ms / delivered AS DECIMAL(14, 4)), 1) END AS average_ms
  FROM mih_stats;
