-- The latency that 95 of 100 successful tries of a service stay below or at, in ms.
SELECT service,
       MIN(latency_ms) AS p95_ms,
       MAX(of_all) AS attempts
  FROM (SELECT service,
               latency_ms,
               CUME_DIST() OVER (PARTITION BY service ORDER BY latency_ms) AS share,
               COUNT(*) OVER (PARTITION BY service) AS of_all
          FROM mih_log
         WHERE outcome = 'delivered') AS ranked
 WHERE share >= 0.95
 GROUP BY service
 ORDER BY service
