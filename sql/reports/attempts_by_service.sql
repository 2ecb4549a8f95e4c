-- How each service fares, as far back as the request log goes: tries, share of successes, latency in ms.
SELECT service,
       COUNT(*) AS attempts,
       ROUND(100.0 * SUM(CASE WHEN outcome = 'delivered' THEN 1 ELSE 0 END) / COUNT(*), 1) AS delivered_percent,
       ROUND(CAST(AVG(latency_ms) AS DECIMAL(14, 4)), 1) AS average_ms,
       MAX(latency_ms) AS slowest_ms
  FROM mih_log
 GROUP BY service
 ORDER BY service
