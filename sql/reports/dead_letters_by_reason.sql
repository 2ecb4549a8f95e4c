-- What was given up, and why: the list to work through. mih_v_dead_letters has an action for each.
SELECT service,
       rule,
       reason,
       COUNT(*) AS letters,
       MIN(created_at) AS first_at,
       MAX(created_at) AS last_at,
       MAX(error) AS an_error
  FROM mih_dlq
 GROUP BY service, rule, reason
 ORDER BY letters DESC, service, rule, reason
