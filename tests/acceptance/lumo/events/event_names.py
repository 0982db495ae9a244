USER_REGISTERED = "user.registered"
ORDER_COMPLETED = "order.completed"
