-- How each service fared day by day, in UTC, as far back as retention.stats_days: share of successes, latency.
SELECT begins_at AS day,
       service,
       delivered,
       failed,
       dead,
       CASE WHEN delivered + failed > 0 THEN ROUND(100.0 * delivered / (delivered + failed), 1) END
         AS delivered_percent,
       CASE WHEN delivered > 0 THEN ROUND(CAST(latency_ms / delivered AS DECIMAL(14, 4)), 1) END AS average_ms
  FROM mih_stats
 WHERE span = 'day'
 ORDER BY day DESC, service
