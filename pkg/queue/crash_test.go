package queue_test

const roleVariable = "QUEUE_TEST_ROLE"

func play(string) int { return 1 }
