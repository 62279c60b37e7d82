package api

import "github.com/gin-gonic/gin"

// Routes returns the routes of the configuration in force.
func (s *Server) Routes() gin.RoutesInfo { return s.engine.Load().Routes() }
