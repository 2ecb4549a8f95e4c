-- How far the log is read, by which replica, and how many ids below that are missing.
SELECT c.site,
       c.position,
       c.head - c.position AS behind,
       c.caught_up_at,
       c.leased_by,
       c.problem,
       COALESCE(SUM(CASE WHEN g.state = 'open' THEN g.missing END), 0) AS ids_open,
       COALESCE(SUM(CASE WHEN g.state = 'closed' THEN g.missing END), 0) AS ids_given_up
  FROM mih_cursors c
  LEFT JOIN mih_gaps g ON g.site = c.site
 GROUP BY c.site, c.position, c.head, c.caught_up_at, c.leased_by, c.problem
 ORDER BY c.site
